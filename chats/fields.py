"""Model fields that clean the text of people, wherever it comes from: forms, commands and code.

`validators.py` has the rules.
"""

from django import forms
from django.db import models

from chats.validators import clean_line, clean_phone_number, normalize_email, validate_plain_address


class CleanedMixin:
    """For a field of a form or of a model."""

    def to_python(self, value):
        value = super().to_python(value)
        return self.clean_text(value) if value else value


class LineFormField(CleanedMixin, forms.CharField):
    clean_text = staticmethod(clean_line)


class PhoneNumberFormField(CleanedMixin, forms.CharField):
    clean_text = staticmethod(clean_phone_number)


class EmailFormField(CleanedMixin, forms.EmailField):
    clean_text = staticmethod(normalize_email)
    default_validators = [validate_plain_address]


class CleanedFieldMixin(CleanedMixin):
    """Forms clean with `form_class`. Look-ups and updates call `to_python()`."""

    def pre_save(self, model_instance, add):
        """Sets the attribute, too."""
        value = super().pre_save(model_instance, add)
        if isinstance(value, str):
            value = self.to_python(value)
            setattr(model_instance, self.attname, value)
        return value

    def formfield(self, **kwargs):
        return super().formfield(**{"form_class": self.form_class} | kwargs)

    def deconstruct(self):
        """As Django's field, whose column it has. So migrations do not change."""
        name, _, args, kwargs = super().deconstruct()
        return name, f"django.db.models.{self.django_class.__name__}", args, kwargs


class LineField(CleanedFieldMixin, models.CharField):
    django_class = models.CharField
    clean_text = staticmethod(clean_line)
    form_class = LineFormField


class PhoneNumberField(CleanedFieldMixin, models.CharField):
    django_class = models.CharField
    clean_text = staticmethod(clean_phone_number)
    form_class = PhoneNumberFormField


class EmailField(CleanedFieldMixin, models.EmailField):
    django_class = models.EmailField
    clean_text = staticmethod(normalize_email)
    form_class = EmailFormField
    # Django's would refuse domains in some scripts. `validate_plain_address()` calls it.
    default_validators = []
