FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app

COPY requirements.txt .
RUN sed '/^# Its tests/,$d' requirements.txt | pip install --no-cache-dir -r /dev/stdin

COPY . .
RUN SECRET_KEY=only-to-build python manage.py collectstatic --noinput

RUN useradd --system app && mkdir /data && chown app /data
USER app
ENV DATABASE_URL=sqlite:////data/db.sqlite3
VOLUME /data

EXPOSE 8000
HEALTHCHECK CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz')"
CMD ["gunicorn", "messaging_app.wsgi", "--bind", "0.0.0.0:8000", "--worker-tmp-dir", "/dev/shm"]
