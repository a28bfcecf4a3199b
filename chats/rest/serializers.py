from itertools import islice

from rest_framework.serializers import Serializer, ValidationError

from chats.rest.hints import is_typo, simplify

# Longer names mean nothing here, and would be repeated in the error.
NAME_MAX_CHARACTERS = 50
# Comparing a name takes microseconds, and a body can have 100,000 names.
TYPOS_MAX = 10


class HintsSerializer(Serializer):
    """Refuses a field that the endpoint does not have if it plainly means something: a name in
    `field_hints`, or a field's name with a typing error. Ignores any other unknown field."""

    field_hints: dict[str, str] = {}
    response_fields: list[str] = []

    def to_internal_value(self, data):
        refused = {}
        if isinstance(data, dict):
            refused = self.get_refused(data)
        if refused and self.context["request"].method == "PATCH":
            # A missing field is not what was meant.
            self.partial = True
        try:
            validated_data = super().to_internal_value(data)
        except ValidationError as error:
            raise ValidationError(error.detail | refused) from error
        if refused:
            raise ValidationError(refused)
        return validated_data

    def get_refused(self, data):
        """The errors by field."""
        writable = {field.field_name for field in self._writable_fields}
        unknown = {
            simplify(name): name
            for name in data
            if name not in writable and len(name) <= NAME_MAX_CHARACTERS
        }
        refused = {
            name: [self.field_hints[simple]]
            for simple, name in unknown.items()
            if simple in self.field_hints
        }
        for name in islice(unknown.values(), TYPOS_MAX):
            for field in writable:
                may_be_meant = field not in data or simplify(name) == simplify(field)
                is_known = name in {*refused, *self.response_fields}
                if may_be_meant and not is_known and is_typo(name, field):
                    refused[name] = [f"There is no such field here; use “{field}”."]
        return refused
