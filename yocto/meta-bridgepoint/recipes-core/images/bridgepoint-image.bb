SUMMARY = "The system of a Bridgepoint box"
DESCRIPTION = "One of the two slots of a box: kernel, systemd, the agent and what it needs of GStreamer. Read-only."
BUGTRACKER = "https://bridgepoint.example/issues"
SECTION = "images"
LICENSE = "MIT"

CVE_PRODUCT = ""

inherit core-image

# Nothing else: no feature that opens a door (tools to debug, passwords left empty, a login), see `cargo xtask check`.
IMAGE_FEATURES = "read-only-rootfs"

IMAGE_INSTALL = "\
    packagegroup-core-boot \
    packagegroup-bridgepoint-media \
    bridgepoint-agent \
    alsa-lib \
    ca-certificates \
    dosfstools \
    e2fsprogs-e2fsck \
    e2fsprogs-mke2fs \
    e2fsprogs-resize2fs \
    rauc \
    rauc-conf \
    rauc-service \
    tzdata-core \
"
# What a recipe only recommends is weighed here, not there.
NO_RECOMMENDATIONS = "0"
BAD_RECOMMENDATIONS = "\
    busybox-syslog \
    rauc-mark-good \
    systemd-extra-utils \
    udev-hwdb \
"

IMAGE_ROOTFS_EXTRA_SPACE = "0"
IMAGE_OVERHEAD_FACTOR = "1.1"
# The slot must hold this image and the next years' ones (BRIDGEPOINT_SLOT_SIZE), in KiB.
IMAGE_ROOTFS_MAXSIZE = "480000"

# Nobody logs in: no unit that asks for a name, and no account with a password, least of all an empty one.
bridgepoint_close() {
    for unit in console-getty.service container-getty@.service debug-shell.service getty@.service serial-getty@.service; do
        ln -sf /dev/null ${IMAGE_ROOTFS}${sysconfdir}/systemd/system/$unit
    done
    if cut -d: -f1,2 ${IMAGE_ROOTFS}${sysconfdir}/shadow | grep -v ':[*!]'; then
        bbfatal "the accounts above can log in"
    fi
}
bridgepoint_close[doc] = "Masks what asks for a login, refuses accounts that could"
ROOTFS_POSTPROCESS_COMMAND += "bridgepoint_close"
