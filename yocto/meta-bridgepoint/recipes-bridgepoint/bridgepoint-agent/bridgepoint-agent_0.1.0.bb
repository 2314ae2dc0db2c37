SUMMARY = "The program of a Bridgepoint box"
DESCRIPTION = "Control process and media child: camera, microphones, encoder, panel, link to the centre, local record"
HOMEPAGE = "https://bridgepoint.example"
BUGTRACKER = "https://bridgepoint.example/issues"
SECTION = "multimedia"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "\
    file://LICENSE-MIT;md5=e19db91cf1da3271f21ef6f26960ff82 \
    file://LICENSE-APACHE;md5=22a53954e4e0ec258dfce4391e905dac \
"

DEPENDS = "cmake-native glib-2.0 gstreamer1.0 gstreamer1.0-plugins-base"

# The source itself is no download: do_unpack takes it from the clone that this layer lies in.
SRC_URI = "\
    file://absent-crates.txt \
    file://state.conf \
"

require bridgepoint-agent-crates.inc

CVE_PRODUCT = "bridgepoint:bridgepoint-agent"

inherit cargo pkgconfig systemd useradd

S = "${UNPACKDIR}/${BP}"

# What is built is the commit that is checked out, whether or not a branch is; what is not committed is in no image. It
# is read at each start of bitbake. A developer's folder as it is: EXTERNALSRC (docs/guide/image.md).
BRIDGEPOINT_GIT = "git -c safe.directory=* -C ${BRIDGEPOINT_TREE}"
BRIDGEPOINT_COMMIT = "${@bridgepoint_commit(d)}"
BB_DONT_CACHE = "1"

CARGO_BUILD_FLAGS:append = " --package bridgepoint-agent"

# What the system needs of us lies in one place of the tree, where the test in QEMU takes it from too.
BRIDGEPOINT_OS = "appliance-agent/os"
BRIDGEPOINT_SYSUSERS = "${BRIDGEPOINT_TREE}/${BRIDGEPOINT_OS}/systemd/sysusers.d/bridgepoint.conf"

SYSTEMD_SERVICE:${PN} = "${@bridgepoint_units(d)}"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "${@bridgepoint.sysusers.groupadd(d.getVar('BRIDGEPOINT_SYSUSERS'))}"
USERADD_PARAM:${PN} = "${@bridgepoint.sysusers.useradd(d.getVar('BRIDGEPOINT_SYSUSERS'), 900)}"

def bridgepoint_commit(d):
    try:
        commit, _ = bb.process.run(d.getVar("BRIDGEPOINT_GIT") + " rev-parse HEAD")
        return commit.strip()
    except bb.process.CmdError:
        # No clone: do_unpack says so, unless EXTERNALSRC makes it needless.
        return ""

def bridgepoint_units(d):
    """Those with a section [Install]: they are turned on."""
    folder = os.path.join(d.getVar("BRIDGEPOINT_TREE"), d.getVar("BRIDGEPOINT_OS"), "systemd", "system")
    units = []
    for unit in sorted(os.listdir(folder)):
        with open(os.path.join(folder, unit), encoding="utf-8") as text:
            if "\n[Install]\n" in text.read():
                units.append(unit)
    return " ".join(units)

# cargo wants to know all crates of Cargo.lock, the agent is made of some: lib/bridgepoint/absent.py.
python do_unpack:append() {
    listing = os.path.join(d.getVar("UNPACKDIR"), "absent-crates.txt")
    bridgepoint.absent.unpack(listing, d.getVar("CARGO_VENDORING_DIRECTORY"))
    if not d.getVar("EXTERNALSRC"):
        if not d.getVar("BRIDGEPOINT_COMMIT"):
            bb.fatal(d.expand("${BRIDGEPOINT_TREE} is no clone of git: set EXTERNALSRC, see docs/guide/image.md"))
        bb.utils.mkdirhier(d.getVar("S"))
        bb.process.run(d.expand("${BRIDGEPOINT_GIT} archive ${BRIDGEPOINT_COMMIT} | tar -x -C ${S}"))
}
do_unpack[vardeps] += "BRIDGEPOINT_COMMIT"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/bridgepoint-agent ${D}${bindir}/bridgepoint-agent

    os=${S}/${BRIDGEPOINT_OS}
    install -d ${D}${systemd_system_unitdir}
    install -m 0644 $os/systemd/system/* ${D}${systemd_system_unitdir}
    for folder in journald.conf.d system.conf.d; do
        install -d ${D}${nonarch_libdir}/systemd/$folder
        install -m 0644 $os/systemd/$folder/* ${D}${nonarch_libdir}/systemd/$folder
    done
    for folder in sysusers.d tmpfiles.d; do
        install -d ${D}${nonarch_libdir}/$folder
        install -m 0644 $os/systemd/$folder/* ${D}${nonarch_libdir}/$folder
    done
    install -d ${D}${nonarch_base_libdir}/udev/rules.d ${D}${datadir}/dbus-1/system.d
    install -m 0644 $os/udev/* ${D}${nonarch_base_libdir}/udev/rules.d
    install -m 0644 $os/dbus/* ${D}${datadir}/dbus-1/system.d
    install -D -m 0644 ${UNPACKDIR}/state.conf \
        ${D}${systemd_system_unitdir}/var-lib-bridgepoint.mount.d/state.conf

    # Profiles of all boards: they inherit from each other, and which one a box is, its configuration says.
    for profile in ${S}/board/*/board.toml; do
        board=$(basename $(dirname $profile))
        install -D -m 0644 $profile ${D}${datadir}/bridgepoint/board/$board/board.toml
    done
    install -d ${D}${localstatedir}/lib/bridgepoint
}

FILES:${PN} += "\
    ${datadir}/bridgepoint \
    ${datadir}/dbus-1 \
    ${nonarch_base_libdir}/udev \
    ${nonarch_libdir} \
    ${systemd_system_unitdir} \
"

RDEPENDS:${PN} = "\
    bridgepoint-config \
    packagegroup-bridgepoint-media \
    ttf-dejavu-sans \
"
