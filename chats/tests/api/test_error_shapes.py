"""Errors that a view raises, and the bodies that they become."""

import pytest
from rest_framework.exceptions import ValidationError
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView


@pytest.mark.parametrize(
    ("detail", "body"),
    [
        ("text", {"non_field_errors": ["text"]}),
        (["one", "two"], {"non_field_errors": ["one", "two"]}),
        ({"title": "text"}, {"title": ["text"]}),
        ({"participants": {"0": ["one"], "1": ["two"]}}, {"participants": ["one", "two"]}),
    ],
)
def test_a_validation_error_of_any_shape_names_a_field_and_lists_texts(detail, body):
    class RefusingView(APIView):
        authentication_classes = []
        permission_classes = []

        def get(self, request):
            raise ValidationError(detail)

    response = RefusingView.as_view()(APIRequestFactory().get("/"))
    assert (response.status_code, response.data) == (400, body)
