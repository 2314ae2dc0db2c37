# A bundle reaches the box through the agent, as a file: RAUC itself needs no network.
PACKAGECONFIG:bridgepoint = "gpt json nocreate service"

# Where no boot loader of ours runs (QEMU), nothing of its tools either.
RAUC_BOOTLOADER_RDEPENDS:qemu-arm64 = ""

# A slot is marked good by the agent, after its self-test, and by nobody else.
RRECOMMENDS:${PN}:remove:bridgepoint = "${PN}-mark-good"
