# What a box of ours uses of systemd: the watchdog, the network, its name servers, the time, the sandbox; repart grows
# the partition `state` once.
FILESEXTRAPATHS:prepend:bridgepoint := "${THISDIR}/files:"
SRC_URI:append:bridgepoint = " \
    file://50-resolved.conf \
    file://50-state.conf \
"

PACKAGECONFIG:bridgepoint = "\
    ${@bb.utils.filter('DISTRO_FEATURES', 'acl ldconfig seccomp', d)} \
    hostnamed \
    kmod \
    link-udev-shared \
    networkd \
    nss \
    nss-resolve \
    openssl \
    randomseed \
    repart \
    resolved \
    set-time-epoch \
    sysusers \
    timesyncd \
    zstd \
"

do_install:append:bridgepoint() {
    install -D -m 0644 ${UNPACKDIR}/50-state.conf ${D}${nonarch_libdir}/repart.d/50-state.conf
    install -D -m 0644 ${UNPACKDIR}/50-resolved.conf ${D}${nonarch_libdir}/systemd/resolved.conf.d/50-bridgepoint.conf
}

FILES:${PN}:append:bridgepoint = " ${nonarch_libdir}/repart.d"

# Libraries that it opens only when it needs them.
RDEPENDS:${PN}:append:bridgepoint = " util-linux-libblkid util-linux-libfdisk util-linux-libmount"
