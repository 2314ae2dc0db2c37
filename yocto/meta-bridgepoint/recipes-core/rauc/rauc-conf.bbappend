# RAUC's configuration is filled in for the board from the one copy in the tree, which the tests use too; the
# certificate that bundles are checked against comes from the folder of keys (docs/guide/image.md).
FILESEXTRAPATHS:prepend:bridgepoint := "${BRIDGEPOINT_TREE}/appliance-agent/os/rauc:${BRIDGEPOINT_KEYS}:"

SRC_URI:bridgepoint = "\
    ${RAUC_KEYRING_URI} \
    file://rauc-boot \
    file://system.conf.in \
"

# Slots and boot loader are the board's.
PACKAGE_ARCH:bridgepoint = "${MACHINE_ARCH}"

# An override of a task cannot change its language: a function of its own, before it.
# nooelint: oelint.vars.noncoreoverride - only ours calls it
python bridgepoint_fill() {
    profile = os.path.join(d.getVar("BRIDGEPOINT_BOARD_DIR"), "board.toml")
    with open(d.expand("${UNPACKDIR}/system.conf.in"), encoding="utf-8") as source:
        text = bridgepoint.board.fill(profile, source.read())
    with open(d.expand("${B}/system.conf"), "w", encoding="utf-8") as filled:
        filled.write(text)
}
bridgepoint_fill[doc] = "Fills the board's facts into system.conf"
do_install[prefuncs] += "bridgepoint_fill"
do_install[file-checksums] += "${BRIDGEPOINT_BOARD_DIR}/board.toml:True"

do_install:bridgepoint() {
    if [ ! -s ${BRIDGEPOINT_KEYS}/ca.cert.pem ]; then
        bbfatal "No ${BRIDGEPOINT_KEYS}/ca.cert.pem: the box would take no update. See docs/guide/image.md, Sign."
    fi
    install -D -m 0644 ${B}/system.conf ${D}${sysconfdir}/rauc/system.conf
    install -D -m 0644 ${UNPACKDIR}/${RAUC_KEYRING_FILE} ${D}${sysconfdir}/rauc/keyring.pem
    if grep -q '^bootloader=custom' ${B}/system.conf; then
        install -D -m 0755 ${UNPACKDIR}/rauc-boot ${D}${prefix}/lib/bridgepoint/rauc-boot
    fi
}

FILES:${PN}:append:bridgepoint = " ${prefix}/lib/bridgepoint"
