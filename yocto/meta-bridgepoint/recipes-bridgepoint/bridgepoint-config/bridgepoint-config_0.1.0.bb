SUMMARY = "The agent's configuration on this board"
DESCRIPTION = "agent.toml, the same for every box of a board: what differs between boxes lies on the partition `state`."
HOMEPAGE = "https://bridgepoint.example"
BUGTRACKER = "https://bridgepoint.example/issues"
SECTION = "multimedia"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "\
    file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302 \
    file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10 \
"

# nooelint: oelint.vars.fileextrapaths,oelint.vars.outofcontext - the one copy lies in the tree
FILESEXTRAPATHS:prepend := "${BRIDGEPOINT_TREE}/appliance-agent/os:"
SRC_URI = "file://agent.toml"

# Where new boxes enrol: host:port of the centre's listener. In build/keys lies what opens it (docs/guide/image.md, Enrol).
BRIDGEPOINT_BROKER ?= ""
BRIDGEPOINT_BOOTSTRAP = "bootstrap-ca.pem bootstrap.pem bootstrap.key"

CVE_PRODUCT = ""

S = "${UNPACKDIR}"
B = "${WORKDIR}/build"
INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

do_configure[noexec] = "1"

python do_compile() {
    broker = d.getVar("BRIDGEPOINT_BROKER")
    if not broker:
        bb.fatal('No BRIDGEPOINT_BROKER: the box could not enrol. See docs/guide/image.md, Enrol.')
    profile = os.path.join(d.getVar("BRIDGEPOINT_BOARD_DIR"), "board.toml")
    with open(d.expand("${UNPACKDIR}/agent.toml"), encoding="utf-8") as source:
        text = bridgepoint.board.fill(profile, source.read()).replace("@BROKER@", broker)
    with open(d.expand("${B}/agent.toml"), "w", encoding="utf-8") as filled:
        filled.write(text)
    # Of appliance-agent/os/systemd/system.conf.d.
    with open(d.expand("${B}/60-board-watchdog.conf"), "w", encoding="utf-8") as conf:
        conf.write(bridgepoint.board.watchdog(profile, 30))
}
do_compile[file-checksums] += "${BRIDGEPOINT_BOARD_DIR}/board.toml:True"

do_install() {
    install -D -m 0644 ${B}/agent.toml ${D}${sysconfdir}/bridgepoint/agent.toml
    for file in ${BRIDGEPOINT_BOOTSTRAP}; do
        if [ ! -s ${BRIDGEPOINT_KEYS}/$file ]; then
            bbfatal "No ${BRIDGEPOINT_KEYS}/$file: the box could not enrol. See docs/guide/image.md, Enrol."
        fi
        install -m 0644 ${BRIDGEPOINT_KEYS}/$file ${D}${sysconfdir}/bridgepoint/$file
    done
    if [ -s ${B}/60-board-watchdog.conf ]; then
        install -D -m 0644 ${B}/60-board-watchdog.conf ${D}${nonarch_libdir}/systemd/system.conf.d/60-board-watchdog.conf
    fi
}

FILES:${PN} += "${nonarch_libdir}/systemd"
