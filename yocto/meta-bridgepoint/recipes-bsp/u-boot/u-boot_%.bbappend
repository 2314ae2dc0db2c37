require recipes-bsp/u-boot/u-boot-bridgepoint.inc
