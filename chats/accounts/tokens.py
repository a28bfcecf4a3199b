"""simplejwt's views, with their throttles and descriptions."""

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework_simplejwt import views

from chats.auth import TokenPairSerializer
from chats.rest.throttling import RefreshThrottle, SignInThrottle

EMPTY = OpenApiResponse(
    {"type": "object", "maxProperties": 0}, examples=[OpenApiExample("Empty", {})]
)


@extend_schema_view(
    post=extend_schema(
        operation_id="sign_in",
        summary="Sign in",
        responses={200: TokenPairSerializer, 401: None, 429: None},
    )
)
class TokenObtainPairView(views.TokenObtainPairView):
    """Returns an access token and a refresh token. The response is the same for a wrong password,
    an unknown address and an inactive user. The address may have to be verified first."""

    throttle_classes = [SignInThrottle]


@extend_schema_view(
    post=extend_schema(
        operation_id="refresh_token",
        summary="Refresh your tokens",
        responses={200: TokenPairSerializer, 401: None, 429: None},
    )
)
class TokenRefreshView(views.TokenRefreshView):
    """Returns a new pair of tokens. Until the new refresh token is first used, a repeated request
    returns the same one. From then on, sending the old one returns a 401 and ends the session."""

    throttle_classes = [RefreshThrottle]


@extend_schema_view(
    post=extend_schema(
        operation_id="verify_token",
        summary="Verify a token",
        responses={200: EMPTY, 401: None},
    )
)
class TokenVerifyView(views.TokenVerifyView):
    """Returns 200 for an access token that the API accepts now, and for a refresh token that
    `POST /api/token/refresh/` accepts now."""


@extend_schema_view(
    post=extend_schema(
        operation_id="sign_out",
        summary="Sign out",
        responses={200: EMPTY, 401: None},
    )
)
class TokenBlacklistView(views.TokenBlacklistView):
    """Ends the session: invalidates the refresh token, its predecessor and its successor. The
    access token stays valid until it expires."""
