//! The front panel: the button and the lamps, without pins or clocks.
