SUMMARY = "Where U-Boot's environment lies on this board"
DESCRIPTION = "fw_env.config, by which RAUC reads and writes the order of the slots and their counters of tries."
HOMEPAGE = "https://bridgepoint.example"
BUGTRACKER = "https://bridgepoint.example/issues"
SECTION = "bootloaders"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "\
    file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302 \
    file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10 \
"

SRC_URI = "file://fw_env.config"

CVE_PRODUCT = ""

S = "${UNPACKDIR}"
PACKAGE_ARCH = "${MACHINE_ARCH}"
INHIBIT_DEFAULT_DEPS = "1"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0644 ${UNPACKDIR}/fw_env.config ${D}${sysconfdir}/fw_env.config
}

RDEPENDS:${PN} = "libubootenv-bin"
