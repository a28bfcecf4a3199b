"""What differs from simplejwt; the settings wire it in."""

from rest_framework import serializers
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.serializers import TokenBlacklistSerializer as Blacklist
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, UntypedToken

from chats.serializers import PasswordField, StringField


class TokenObtainSerializer(TokenObtainPairSerializer):
    """With fields that take nothing but strings, and a password that is not trimmed."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["email"] = StringField(write_only=True)
        self.fields["password"] = PasswordField()


class TokenRefreshSerializer(serializers.Serializer):
    """simplejwt's looks a token up in the blacklist before it puts it there, so that racing
    uses of it succeed together, and answers a deleted user with a 500."""

    refresh = StringField()

    def validate(self, attrs):
        used = RefreshToken(attrs["refresh"])
        user = JWTAuthentication().get_user(used)
        _, first_use = used.blacklist()
        if not first_use:
            raise TokenError("Token is blacklisted")
        refresh = RefreshToken.for_user(user)
        return {"access": str(refresh.access_token), "refresh": str(refresh)}


class TokenVerifySerializer(serializers.Serializer):
    """Accepts what the API, or refresh, would accept now: simplejwt's does not look at the
    user."""

    token = StringField()

    def validate(self, attrs):
        token_type = UntypedToken(attrs["token"]).get("token_type")
        token_class = RefreshToken if token_type == RefreshToken.token_type else AccessToken
        JWTAuthentication().get_user(token_class(attrs["token"]))
        return {}


class TokenBlacklistSerializer(Blacklist):
    refresh = StringField(write_only=True)
