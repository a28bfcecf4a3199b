"""Django reads this because of FORMAT_MODULE_PATH. The admin's times have their zone."""

DATETIME_FORMAT = "Y-m-d H:i:s e"
