# No tools, no self-checks: the agent is the only one who makes pipelines here. Debug output stays: it is what a
# technician's report holds when a camera misbehaves.
PACKAGECONFIG:bridgepoint = "debug"
