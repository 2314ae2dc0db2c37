require recipes-kernel/linux/bridgepoint-kernel.inc

# meta-ti merges only the fragments that this names.
KERNEL_CONFIG_FRAGMENTS:append:sk-am62p = " ${UNPACKDIR}/bridgepoint.cfg ${UNPACKDIR}/kernel.cfg"
