from django import forms
from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import IntegrityError
from django.forms.models import model_to_dict
from django.http import HttpResponseRedirect

from chats.admin.rights import get_offered_permissions
from chats.models import User

CHANGED = "Somebody else changed this after you opened the page. Open it again to change it."
TAKEN = "Somebody else saved the same value at that moment. Nothing was saved. Please try again."
DISMISSED = "Your own account was changed after you opened the page. Nothing was saved."
ENDED = "This {} was {} after you opened the page. Nothing was saved."


class JoinedInput(forms.HiddenInput):
    """Several ids in one value. Without ids, Django's own widget renders nothing at all."""

    def format_value(self, value):
        return " ".join(map(str, value or []))

    def value_from_datadict(self, data, files, name):
        return data.get(name, "").split()


class IdsField(forms.ModelMultipleChoiceField):
    hidden_widget = JoinedInput

    def _check_values(self, value):
        """Refuses invalid keys before Django queries the database with them."""
        for pk in value:
            try:
                self.queryset.model._meta.pk.clean(pk, None)
            except ValidationError as error:
                text = self.error_messages["invalid_pk_value"]
                raise ValidationError(text, "invalid_pk_value", {"pk": pk}) from error
        return super()._check_values(value)


class ChangedFieldsForm(forms.ModelForm):
    """Writes only the fields that staff changed on the page.

    Each field has a hidden input with the value that the page showed (`show_hidden_initial`).
    `changed_data` compares with that value, or with the row if the request lacks it. A field that
    somebody else changed in the meantime is refused. Of a many-to-many field, only additions and
    removals are written.
    """

    # Set by ChangedFieldsMixin.
    request = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        is_new = self.instance._state.adding
        for name in self.fields.keys() & {"permissions", "user_permissions"}:
            held = [] if is_new else getattr(self.instance, name).all()
            self.fields[name].queryset = get_offered_permissions(held)
        if is_new:
            return
        for name, field in self.fields.items():
            is_shown = not self.is_bound or self.add_initial_prefix(name) in self.data
            # The disabled field holds the password's hash.
            field.show_hidden_initial = is_shown and not field.disabled

    def clean(self):
        super().clean()
        if self.instance._state.adding:
            return
        self.lock()
        columns = {field.name for field in self.instance._meta.concrete_fields}
        now = model_to_dict(self.instance, columns & self.fields.keys())
        for name, value in now.items():
            if name not in self.changed_data:
                self.cleaned_data[name] = value
                continue
            is_stale = self.fields[name].has_changed(value, self.get_shown(name))
            if is_stale and self.cleaned_data.get(name, value) != value:
                self.add_error(name, CHANGED)

    def lock(self):
        """Read the row again and lock it until the transaction ends."""
        try:
            self.instance.refresh_from_db(
                from_queryset=self._meta.model.objects.select_for_update(no_key=True)
            )
        except ObjectDoesNotExist as error:
            name = self.instance._meta.verbose_name
            raise ValidationError(ENDED.format(name, "deleted")) from error
        staff = self.request.user
        rights = {name: getattr(staff, name) for name in ("is_active", "is_staff", "is_superuser")}
        if not User.objects.filter(pk=staff.pk, **rights).exists():
            # The staff member lost their rights while this request waited for the lock.
            raise ValidationError(DISMISSED)

    def get_shown(self, name):
        """The value that the page showed, as the request holds it."""
        field, bound_field = self.fields[name], self[name]
        if field.show_hidden_initial:
            widget = field.hidden_widget()
            return widget.value_from_datadict(self.data, self.files, bound_field.html_initial_name)
        return field.prepare_value(bound_field.initial)

    def get_shown_ids(self, name):
        return set(map(str, self.get_shown(name) or []))

    def get_added(self, name):
        shown = self.get_shown_ids(name)
        return [row for row in self.cleaned_data[name] if str(row.pk) not in shown]

    def get_removed(self, name):
        gone = self.get_shown_ids(name) - {str(row.pk) for row in self.cleaned_data[name]}
        return [row for row in getattr(self.instance, name).all() if str(row.pk) in gone]

    def _save_m2m(self):
        for field in self.instance._meta.many_to_many:
            if field.name in self.changed_data:
                related = getattr(self.instance, field.name)
                related.remove(*self.get_removed(field.name))
                related.add(*self.get_added(field.name))


class ChangedFieldsMixin:
    """For a ModelAdmin with a ChangedFieldsForm."""

    form = ChangedFieldsForm

    def get_form(self, request, obj=None, **kwargs):
        form_class = super().get_form(request, obj, **kwargs)
        # Django makes this class for each request.
        form_class.request = request
        return form_class

    def changeform_view(self, request, *args, **kwargs):
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError:
            return self.response_conflict(request)

    def response_conflict(self, request):
        """Another request saved the same e-mail address or name first."""
        self.message_user(request, TAKEN, messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        return super().formfield_for_manytomany(db_field, request, form_class=IdsField, **kwargs)

    def save_model(self, request, obj, form, change):
        if change:
            columns = {field.name for field in obj._meta.concrete_fields}
            obj.save(update_fields=columns.intersection(form.changed_data))
        else:
            obj.save()
