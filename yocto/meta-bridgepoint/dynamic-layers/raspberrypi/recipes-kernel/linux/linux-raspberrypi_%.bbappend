require recipes-kernel/linux/bridgepoint-kernel.inc
