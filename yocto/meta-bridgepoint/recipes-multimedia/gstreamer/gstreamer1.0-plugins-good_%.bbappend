# V4L2 capture and the stateful M2M encoders and decoders; JPEG for cameras that give MJPEG; gudev sees them come
# and go.
PACKAGECONFIG:bridgepoint = "${GSTREAMER_ORC} gudev jpeg v4l2"
