"""Forms of the admin, filled in as a browser does it."""

from html.parser import HTMLParser

# The lists and pages that only superusers see.
SUPERUSERS_PAGES = ["auth/group/", "auth/group/add/", "chats/user/{sender}/history/"]


def open_page(client, page, message):
    ids = {"conversation": message.conversation_id, "sender": message.sender_id}
    return client.get(f"/admin/{page.format(message=message.pk, **ids)}")


class FormParser(HTMLParser):
    """`fields`: the values that a browser would send for the form with this id, by name."""

    def __init__(self, form_id):
        super().__init__()
        self.form_id, self.fields = form_id, {}
        self.is_inside, self.select, self.textarea = False, None, None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.is_inside = attrs.get("id") == self.form_id
        elif not self.is_inside or "disabled" in attrs:
            return
        elif tag == "input" and "name" in attrs:
            kind = attrs.get("type")
            if kind not in {"checkbox", "radio", "submit"}:
                self.add(attrs["name"], attrs.get("value", ""))
            elif "checked" in attrs:
                self.add(attrs["name"], attrs.get("value", "on"))
        elif tag == "select":
            self.select = attrs["name"]
        elif tag == "option" and self.select and "selected" in attrs:
            self.add(self.select, attrs["value"])
        elif tag == "textarea":
            self.textarea = attrs["name"]
            self.add(self.textarea, "")

    def handle_endtag(self, tag):
        if tag == "form":
            self.is_inside = False
        elif tag == "select":
            self.select = None
        elif tag == "textarea":
            self.textarea = None

    def handle_data(self, data):
        if self.textarea:
            self.fields[self.textarea][-1] += data

    def add(self, name, value):
        self.fields.setdefault(name, []).append(value)


def read_form(client, path, form_id):
    """Open the page and return its form's fields."""
    response = client.get(path)
    assert response.status_code == 200
    parser = FormParser(form_id)
    parser.feed(response.content.decode())
    parser.close()
    return parser.fields


class Form:
    """A page of the admin, open in a browser."""

    def __init__(self, client, row):
        name = row._meta.model_name
        self.client = client
        self.path = f"/admin/{row._meta.app_label}/{name}/{row.pk}/change/"
        self.fields = read_form(client, self.path, f"{name}_form")

    def save(self, **changes):
        return self.client.post(self.path, self.fields | changes, follow=True)

    def is_saved(self, **changes):
        return "changed successfully" in self.save(**changes).content.decode()
