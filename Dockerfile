FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

# .ci/image runs docker/build, docker/serve and docker/healthcheck too.
COPY . .
RUN docker/build

RUN useradd --system app && mkdir /data && chown app /data
USER app
ENV DATABASE_URL=sqlite:////data/db.sqlite3 HOST=0.0.0.0 PORT=8000
VOLUME /data

EXPOSE 8000
HEALTHCHECK CMD docker/healthcheck
CMD ["docker/serve"]
