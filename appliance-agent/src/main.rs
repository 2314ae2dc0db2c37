//! The appliance's program: control process and media child.

fn main() {}
