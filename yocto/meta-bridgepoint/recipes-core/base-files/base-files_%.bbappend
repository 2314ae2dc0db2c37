# fstab: the slot is read-only.
FILESEXTRAPATHS:prepend:bridgepoint := "${THISDIR}/files:"
