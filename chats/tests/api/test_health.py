"""The two health paths, lost databases, and the Content-Security-Policy."""

import psycopg
import pytest
from django.conf import settings
from django.db import InternalError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from messaging_app.backends.postgres import base
from messaging_app.middleware import ErrorMiddleware


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="about connections to PostgreSQL")
@pytest.mark.skipif(settings.DATABASE_POOLER, reason="about those without a pooler")
def test_connection_is_checked_each_second_and_after_an_error(monkeypatch):
    monkeypatch.setattr(base, "HEALTHY_SECONDS", 3_600)
    other = connection.copy()
    try:
        other.ensure_connection()
        assert other.is_usable()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [other.connection.info.backend_pid])
        assert other.is_usable()
        other.errors_occurred = True
        assert not other.is_usable()
        other.errors_occurred = False
        assert not other.is_usable()
    finally:
        other.close()


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="about connections to PostgreSQL")
@pytest.mark.skipif(settings.DATABASE_POOLER, reason="others would get the changed session")
@pytest.mark.parametrize(
    ("servers", "is_read_only", "usable"),
    [("read-write", "on", False), ("read-write", "off", True), ("any", "on", True)],
)
def test_connection_to_a_demoted_server_is_dropped(servers, is_read_only, usable):
    other = connection.copy()
    try:
        other.ensure_connection()
        other.connection.execute(f"SET default_transaction_read_only = {is_read_only}")
        other.settings_dict["OPTIONS"]["target_session_attrs"] = servers
        other.healthy_until = 0
        assert other.is_usable() is usable
    finally:
        other.close()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL")
def test_write_that_a_demoted_server_refuses_is_a_503(api, alice, conversation):
    client = api(alice)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
    body = {"message_body": "Hello"}
    response = client.post(f"/api/conversations/{conversation.pk}/messages/", body)
    # Otherwise Django checks constraints in this transaction, which locks rows.
    transaction.set_rollback(True)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_lost_server_behind_pooler_is_a_503(rf):
    """With the exception made by hand, because no test runs a pooler whose server is gone."""
    error = InternalError()
    error.__cause__ = psycopg.InternalError("received 2 results from command 'COMMIT'")
    response = ErrorMiddleware(None).process_exception(rf.post("/api/messages/"), error)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


class TestHealth:
    @pytest.mark.parametrize("host", ["localhost", "10.0.0.7"])
    def test_healthz_is_ok_for_any_host(self, client, host, settings):
        settings.SECURE_SSL_REDIRECT = True
        response = client.get("/healthz", headers={"Host": host})
        assert (response.status_code, response.json()) == (200, {"process": "ok"})

    @pytest.mark.django_db
    def test_readyz_reports_database_migrations_and_cache(self, client):
        response = client.get("/readyz")
        assert response.status_code == 200
        assert response.json() == {"database": "ok", "migrations": "ok", "cache": "ok"}

    @pytest.mark.django_db
    def test_readyz_reports_missing_migrations(self, client):
        latest = MigrationRecorder.Migration.objects.filter(app="chats").latest("id")
        MigrationRecorder(connection).record_unapplied("chats", latest.name)
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert response.json() == {"database": "ok", "migrations": "1 not applied", "cache": "ok"}

    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_other_methods_are_a_405(self, client, path):
        assert client.post(path).status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/", "/api/nothing/", "/api/messages/"])
def test_json_may_load_nothing(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/api/docs/", "/nothing/"])
def test_every_page_has_a_content_security_policy(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]
    assert set(policy.split("; ")) == {
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    }
