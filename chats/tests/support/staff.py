"""Staff who use the admin of a running server."""

import requests

from chats.tests.support.servers import PASSWORD, RESPONSE_SECONDS


class Staff:
    """A member of staff with the admin's forms."""

    def __init__(self, server):
        self.site, self.session = server.site, requests.Session()
        self.session.get(f"{self.site}/admin/login/", timeout=RESPONSE_SECONDS)
        self.post("login/?next=/admin/", username=server.make_superuser(), password=PASSWORD)

    def post(self, path, **form):
        """Its page after the form was taken."""
        form["csrfmiddlewaretoken"] = self.session.cookies["csrftoken"]
        url = f"{self.site}/admin/{path}"
        response = self.session.post(url, form, timeout=RESPONSE_SECONDS)
        assert response.status_code == 200, response.text
        assert [redirect.status_code for redirect in response.history] == [302], response.text
        return response.text
