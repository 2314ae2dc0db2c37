# Sound by ALSA. Opus is encoded by the agent itself.
PACKAGECONFIG:bridgepoint = "${GSTREAMER_ORC} alsa"
