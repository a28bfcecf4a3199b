"""Other people: contacts, public profiles, and users found by e-mail address."""

import pytest

from chats.services import leave
from chats.tests.support.expected import NOT_FOUND, page, public_profile
from chats.tests.support.rows import deactivate


class TestFindByEmail:
    def test_whole_address_finds_a_stranger(self, api, alice, mallory):
        response = api(alice).get("/api/users/", {"email": "MALLORY@example.com"})
        assert (response.status_code, response.json()) == (200, page(public_profile(mallory)))

    def test_part_of_an_address_and_inactive_users_are_not_found(self, api, alice, mallory):
        deactivate(mallory)
        for email in ["mallory@example.com", "allory@example.com", "mallory@example.co"]:
            response = api(alice).get("/api/users/", {"email": email})
            assert (response.status_code, response.json()) == (200, page())

    @pytest.mark.usefixtures("mallory")
    @pytest.mark.parametrize("email", ["mallory", "", " ", "\t", "\u00a0", "\u2003", "%", "@"])
    def test_bad_address_is_a_400(self, api, alice, email):
        response = api(alice).get("/api/users/", {"email": email})
        assert (response.status_code, list(response.json())) == (400, ["email"])


@pytest.mark.usefixtures("conversation", "mallory")
def test_contacts_are_participants_of_own_conversations(api, alice, bob):
    response = api(alice).get("/api/users/")
    assert (response.status_code, response.json()) == (200, page(public_profile(bob)))


class TestPublicProfile:
    def test_of_a_contact(self, api, alice, bob, conversation):
        response = api(alice).get(f"/api/users/{bob.pk}/")
        assert (response.status_code, response.json()) == (200, public_profile(bob))

    def test_of_oneself(self, api, alice):
        """With or without a conversation."""
        response = api(alice).get(f"/api/users/{alice.pk}/")
        assert (response.status_code, response.json()) == (200, public_profile(alice))

    def test_is_found_as_long_as_the_user_is_a_contact(self, api, alice, bob, conversation):
        client, path = api(alice), f"/api/users/{bob.pk}/"
        deactivate(bob)
        assert client.get("/api/users/").json() == page(public_profile(bob))
        assert client.get(path).json() == public_profile(bob)
        leave(conversation, actor=bob)
        assert client.get("/api/users/").json() == page()
        response = client.get(path)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)

    @pytest.mark.parametrize("query", ["", "?email=mallory@example.com", "?search=Mallory"])
    def test_of_a_stranger_is_a_404(self, api, alice, conversation, mallory, query):
        """Parameters widen the list, not this."""
        response = api(alice).get(f"/api/users/{mallory.pk}/{query}")
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
