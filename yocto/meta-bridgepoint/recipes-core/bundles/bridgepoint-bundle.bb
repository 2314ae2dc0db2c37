# nooelint: oelint.file.underscores - like an image, it has the version of the distribution
SUMMARY = "Signed update of a Bridgepoint box"
DESCRIPTION = "RAUC bundle with the whole slot; its manifest carries the root of a hash tree over the image (verity)."
HOMEPAGE = "https://bridgepoint.example"
BUGTRACKER = "https://bridgepoint.example/issues"
SECTION = "images"
LICENSE = "MIT"

SRC_URI = ""

CVE_PRODUCT = ""

inherit bundle

RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_COMPATIBLE = "${BRIDGEPOINT_COMPATIBLE}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_DESCRIPTION = "Bridgepoint ${DISTRO_VERSION} for ${MACHINE}"

RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs = "bridgepoint-image"
RAUC_SLOT_rootfs[fstype] = "${BRIDGEPOINT_SLOT_FSTYPE}"

# From the folder of keys (docs/guide/image.md).
RAUC_KEY_FILE = "${BRIDGEPOINT_KEYS}/bundle.key.pem"
RAUC_CERT_FILE = "${BRIDGEPOINT_KEYS}/bundle.cert.pem"
