def read_body(request, serializer_class, **options):
    """The validated data of the body. Raises ValidationError. `options` are the serializer's."""
    serializer = serializer_class(data=request.data, context={"request": request}, **options)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
