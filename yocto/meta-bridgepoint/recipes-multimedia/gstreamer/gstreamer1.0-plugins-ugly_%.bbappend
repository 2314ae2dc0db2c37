# The software encoder where a board's own one fails.
PACKAGECONFIG:bridgepoint = "${GSTREAMER_ORC} x264"
