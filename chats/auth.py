"""What differs from simplejwt."""

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework_simplejwt import authentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, TokenError
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, UntypedToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from chats.clock import lock
from chats.fields import PasswordField, StringField
from chats.models import User
from chats.statements import get_user

EXAMPLE_ACCESS = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl"
EXAMPLE_REFRESH = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
)


class JWTAuthentication(authentication.JWTAuthentication):
    def get_user(self, validated_token):
        """Like simplejwt's, but with the query in statements.py."""
        try:
            user = get_user(validated_token[api_settings.USER_ID_CLAIM])
        except (KeyError, ValueError, User.DoesNotExist) as error:
            raise AuthenticationFailed("User not found", code="user_not_found") from error
        if not user.is_active:
            raise AuthenticationFailed("User is inactive", code="user_inactive")
        issued_under = validated_token.get(api_settings.REVOKE_TOKEN_CLAIM)
        if issued_under != get_md5_hash_password(user.password):
            message = "The user's password has been changed."
            raise AuthenticationFailed(message, code="password_changed")
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


# simplejwt's serializer checks the blacklist before it adds the token, so that several concurrent
# requests succeed. For the token of a deleted user, it fails with a 500.
@extend_schema_serializer(examples=[OpenApiExample("Refresh token", {"refresh": EXAMPLE_REFRESH})])
class TokenRefreshSerializer(serializers.Serializer):
    refresh = StringField()

    @transaction.atomic
    def validate(self, attrs):
        refresh = RefreshToken.for_user(consume_refresh_token(attrs["refresh"]))
        return {"access": str(refresh.access_token), "refresh": str(refresh)}


@extend_schema_serializer(examples=[OpenApiExample("Refresh token", {"refresh": EXAMPLE_REFRESH})])
class TokenBlacklistSerializer(serializers.Serializer):
    refresh = StringField()

    @transaction.atomic
    def validate(self, attrs):
        consume_refresh_token(attrs["refresh"])
        return {}


# simplejwt's serializer does not check the user.
@extend_schema_serializer(examples=[OpenApiExample("Access token", {"token": EXAMPLE_ACCESS})])
class TokenVerifySerializer(serializers.Serializer):
    token = StringField()

    def validate(self, attrs):
        token_type = UntypedToken(attrs["token"]).get("token_type")
        token_class = RefreshToken if token_type == RefreshToken.token_type else AccessToken
        JWTAuthentication().get_user(token_class(attrs["token"]))
        return {}


def consume_refresh_token(encoded):
    """Blacklist the token and return its user."""
    token = RefreshToken(encoded)
    user = JWTAuthentication().get_user(token)
    lock_active(user)
    _, is_first_use = token.blacklist()
    if not is_first_use:
        raise TokenError("Token is blacklisted")
    return user


def lock_active(user):
    """Lock the user, who may have been deactivated or deleted since they were read. The row of a
    refresh token refers to theirs."""
    if not lock(User.objects.active().filter(pk=user.pk)):
        raise AuthenticationFailed("User is inactive", code="user_inactive")
