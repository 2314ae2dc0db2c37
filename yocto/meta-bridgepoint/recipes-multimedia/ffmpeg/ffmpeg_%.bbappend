# Only what avdec_h264 and avdec_aac need, through gstreamer1.0-libav; LGPL.
PACKAGECONFIG:bridgepoint = "avcodec avfilter avformat swresample"
EXTRA_OECONF:append:bridgepoint = " \
    --disable-everything \
    --disable-network \
    --disable-programs \
    --enable-decoder=aac,h264 \
    --enable-parser=aac,h264 \
"
