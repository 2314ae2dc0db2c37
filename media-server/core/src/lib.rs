//! Decisions of the centre: conference, layout, composer, audio mixer. No I/O.
