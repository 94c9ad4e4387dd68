// The callables that a checkpoint may name, and what each of them makes of its arguments.
//
// Nothing is called: OrderedDict() is an empty dict node, _rebuild_tensor_v2(...) a tensor node,
// a numpy scalar the number in its bytes. Values that are known and not needed become kOpaque.
#pragma once

#include <string_view>

#include "heads/pth/pickle_arena.h"

namespace emotion::heads::pth {

// Whether `name` ("module name") may occur at all: a callable below, a storage class or a dtype.
bool IsKnownGlobal(std::string_view name);

// The value of function(*arguments).
NodeId ApplyCall(PickleArena& arena, NodeId function, NodeId arguments);

// object.__setstate__(state): dropped for dicts (their _metadata) and opaque values, an error for
// anything else. A numpy dtype that is not little-endian becomes unknown.
void ApplyState(PickleArena& arena, NodeId object, NodeId state);

// The storage that a persistent id ('storage', class, key, device, elements) stands for.
NodeId ApplyPersistentId(PickleArena& arena, NodeId id);

}  // namespace emotion::heads::pth
