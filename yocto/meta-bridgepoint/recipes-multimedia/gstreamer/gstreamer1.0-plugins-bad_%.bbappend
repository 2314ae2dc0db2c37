# KMS: the screen without a window system. openh264: the fallback encoder. v4l2codecs: stateless decoders. webrtcdsp:
# echo cancellation. SRTP, DTLS and WebRTC stay off: the agent's transport is its own (str0m).
PACKAGECONFIG:bridgepoint = "${GSTREAMER_ORC} kms openh264 v4l2codecs webrtcdsp"
