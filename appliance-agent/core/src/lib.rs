//! Decisions of the appliance: session, twin, outbox, health, supervision. No I/O.
