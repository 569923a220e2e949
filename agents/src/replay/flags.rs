//! Marks on a transition.

use std::ops::BitOr;

/// A set of marks on a transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Flags(pub(super) u8);

impl Flags {
    /// No mark.
    pub const NONE: Self = Self(0);
    /// The task ended here: the next state is worth nothing.
    pub const TERMINATED: Self = Self(1);
    /// The episode was cut off here: the next state keeps its value.
    pub const TRUNCATED: Self = Self(2);
    /// The observation is the absorbing state.
    pub const OBS_ABSORBING: Self = Self(4);
    /// The next observation is the absorbing state.
    pub const NEXT_ABSORBING: Self = Self(8);
    /// The transition stored next does not follow this one in time: windows end here and bootstrap.
    pub const CUT: Self = Self(16);

    /// True if all of `other`'s marks are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These marks if `condition` holds, else none.
    pub fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// True if no window runs on beyond this transition.
    pub fn ends_window(self) -> bool {
        self.0 & (Self::TERMINATED.0 | Self::TRUNCATED.0 | Self::CUT.0) != 0
    }

    /// The first of a window's marks for its start, the last's for everything else.
    pub(super) fn of_window(first: Self, last: Self) -> Self {
        Self((first.0 & Self::OBS_ABSORBING.0) | (last.0 & !Self::OBS_ABSORBING.0))
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
