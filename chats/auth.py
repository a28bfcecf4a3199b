"""What differs from simplejwt."""

from contextlib import contextmanager

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated
from rest_framework_simplejwt import authentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken, TokenError
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, UntypedToken
from rest_framework_simplejwt.utils import datetime_from_epoch, get_md5_hash_password

from chats.clock import lock
from chats.models import User
from chats.rest.fields import PasswordField, StringField
from chats.statements import get_user

EXAMPLE_ACCESS = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl"
EXAMPLE_REFRESH = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
)
BLACKLISTED = "Token is blacklisted"
SEND_ACCESS = "Send the header “Authorization: Bearer <access token>”."
INVALID_ACCESS = "The access token is invalid or expired."
NOT_A_REFRESH = "This is not a refresh token. Send the refresh token, not the access token."
NOT_AN_ACCESS = "This is not an access token. Send the access token, not the refresh token."


class UserNotFound(AuthenticationFailed):
    default_detail = "User not found"
    default_code = "user_not_found"


class UserInactive(AuthenticationFailed):
    default_detail = "User is inactive"
    default_code = "user_inactive"


class PasswordChanged(AuthenticationFailed):
    default_detail = "The user's password has been changed."
    default_code = "password_changed"


class EmailNotVerified(AuthenticationFailed):
    default_detail = (
        "The e-mail address is not verified. Follow the link that was sent to it, or ask for a new "
        "one with POST /api/users/resend_verification/."
    )
    default_code = "email_not_verified"


class JWTAuthentication(authentication.JWTAuthentication):
    def get_raw_token(self, header):
        # The scheme is the same in upper case (RFC 9110, section 11.1).
        scheme, space, rest = header.partition(b" ")
        try:
            token = super().get_raw_token(scheme.capitalize() + space + rest)
        except AuthenticationFailed as error:
            raise AuthenticationFailed(SEND_ACCESS, "bad_authorization_header") from error
        if token is None:
            raise NotAuthenticated(SEND_ACCESS)
        return token

    def get_validated_token(self, raw_token):
        try:
            token = UntypedToken(raw_token)
        except TokenError as error:
            raise InvalidToken(INVALID_ACCESS) from error
        if token.get("token_type") != AccessToken.token_type:
            raise InvalidToken(NOT_AN_ACCESS)
        return token

    def get_user(self, validated_token):
        """Loads the user with a compiled statement. The checks are simplejwt's."""
        try:
            user = get_user(validated_token[api_settings.USER_ID_CLAIM])
        except (KeyError, ValueError, User.DoesNotExist) as error:
            raise UserNotFound from error
        if not user.is_active:
            raise UserInactive
        issued_under = validated_token.get(api_settings.REVOKE_TOKEN_CLAIM)
        if issued_under != get_md5_hash_password(user.password):
            raise PasswordChanged
        if user.must_verify_email:
            raise EmailNotVerified
        return user


@extend_schema_serializer(
    examples=[OpenApiExample("Pair", {"refresh": EXAMPLE_REFRESH, "access": EXAMPLE_ACCESS})]
)
class TokenPairSerializer(serializers.Serializer):
    access = serializers.CharField()
    refresh = serializers.CharField()


@extend_schema_serializer(
    examples=[OpenApiExample("Ann", {"email": "ann@example.com", "password": "tide over the moor"})]
)
class TokenObtainSerializer(TokenObtainPairSerializer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # simplejwt's fields accept numbers, and trim the password.
        self.fields["email"] = StringField(write_only=True)
        self.fields["password"] = PasswordField()

    @classmethod
    @transaction.atomic
    def get_token(cls, user):
        lock_active(user)
        # simplejwt's UPDATE_LAST_LOGIN saves after the lock is released.
        User.objects.filter(pk=user.pk).update(last_login=timezone.now())
        return super().get_token(user)


# simplejwt's serializer refuses a repeated request, and gives concurrent ones a session each. For
# the token of a deleted user, it fails with a 500.
@extend_schema_serializer(examples=[OpenApiExample("Refresh token", {"refresh": EXAMPLE_REFRESH})])
class TokenRefreshSerializer(serializers.Serializer):
    refresh = StringField()

    def validate(self, attrs):
        with accepted_session(attrs["refresh"]) as (session, token):
            replace_newest(session, token)
        newest = SessionToken(session.token, verify=False)
        return {"access": str(newest.access_token), "refresh": session.token}


@extend_schema_serializer(examples=[OpenApiExample("Refresh token", {"refresh": EXAMPLE_REFRESH})])
class TokenBlacklistSerializer(serializers.Serializer):
    refresh = StringField()

    def validate(self, attrs):
        with accepted_session(attrs["refresh"]) as (session, _):
            end_session(session)
        return {}


# simplejwt's serializer does not check the user.
@extend_schema_serializer(examples=[OpenApiExample("Access token", {"token": EXAMPLE_ACCESS})])
class TokenVerifySerializer(serializers.Serializer):
    token = StringField()

    def validate(self, attrs):
        token_type = UntypedToken(attrs["token"]).get("token_type")
        token_class = SessionToken if token_type == SessionToken.token_type else AccessToken
        token = token_class(attrs["token"])
        JWTAuthentication().get_user(token)
        if token_class is SessionToken and not token.is_accepted(token.get_session()):
            raise TokenError(BLACKLISTED)
        return {}


class SessionToken(RefreshToken):
    """A refresh token that knows its session.

    A session is the OutstandingToken row of its first refresh token: `row.jti` is that token's id,
    `row.token` the newest token. The session has ended when the row is blacklisted or deleted.
    Later tokens carry `sid`, the id of the first token, and `replaces`, the id of the previous one.
    """

    # Access tokens do not get these claims.
    no_copy_claims = (*RefreshToken.no_copy_claims, "sid", "replaces")

    def verify_token_type(self):
        if self.get("token_type") != self.token_type:
            raise TokenError(NOT_A_REFRESH)

    def get_session(self, lock=False):
        """Raises TokenError if the session has ended."""
        jti = self.get("sid", self["jti"])
        sessions = OutstandingToken.objects.filter(jti=jti, blacklistedtoken=None).order_by()
        if lock:
            # flushexpiredtokens deletes the row without locking the user, so lock the row too.
            sessions = sessions.select_for_update(no_key=True, of=("self",))
        if (session := sessions.first()) is None:
            raise TokenError(BLACKLISTED)
        return session

    def is_accepted(self, session):
        """The newest token is accepted, and the one that it replaced."""
        newest = SessionToken(session.token, verify=False)
        return self["jti"] in (newest["jti"], newest.get("replaces"))


@contextmanager
def accepted_session(encoded):
    """Yields the locked session of a refresh token, and the token. Raises TokenError if the token
    is not accepted.

    An older token of the session has been copied, because its successor was used already. It ends
    the session (RFC 9700, section 4.14.2).
    """
    token = SessionToken(encoded)
    user = JWTAuthentication().get_user(token)
    with transaction.atomic():
        lock_active(user)
        session = token.get_session(lock=True)
        if is_accepted := token.is_accepted(session):
            yield session, token
        else:
            end_session(session)
    # Outside the transaction, so that the end of the session is committed.
    if not is_accepted:
        raise TokenError(BLACKLISTED)


def replace_newest(session, token):
    """Replace the session's newest token, if it is this one. A repeated request changes nothing."""
    if token["jti"] != SessionToken(session.token, verify=False)["jti"]:
        return
    token["sid"], token["replaces"] = session.jti, token["jti"]
    token.set_jti()
    token.set_exp()
    token.set_iat()
    session.token, session.expires_at = str(token), datetime_from_epoch(token["exp"])
    session.save(update_fields=["token", "expires_at"])


def end_session(session):
    BlacklistedToken.objects.create(token=session)


def lock_active(user):
    """Lock the user. Raises UserInactive if they were deactivated or deleted since they were
    read, and EmailNotVerified."""
    locked = lock(User.objects.active().filter(pk=user.pk))
    if not locked:
        raise UserInactive
    if locked[0].must_verify_email:
        raise EmailNotVerified
