// A thread that computes for long beside threads that answer quickly.
#pragma once

namespace emotion {

// Asks the scheduler for long turns for the calling thread and those that it starts from now on:
// it gets no less of a core than before, but threads that wake up for something short (a request,
// a cached answer) run at once instead of after its turn. Linux from 6.12 on obeys; elsewhere, and
// where it is refused, nothing changes. Needs no privilege. Cheap where it was asked before.
void TakeLongSlices();

// Between two pieces of work: gives the core to whoever waits for it when the slice is nearly over,
// so that the scheduler does not take it within a piece, for whose end others would wait. Costs a
// tenth of the slice where somebody waits. Takes long slices from now on. Tens of nanoseconds when
// it is not due.
void EndSliceIfDue();

}  // namespace emotion
