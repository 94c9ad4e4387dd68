// W3C Trace Context (traceparent) and request ids: how log lines of one request find each other
// across services.
//
// A door parses what the caller sent, or starts a trace; every hop sends a child. All functions are
// pure or draw random numbers per thread; safe from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace emotion {

struct TraceContext {
  std::string trace_id;  // 32 lower-case hexadecimal digits, not all zero
  std::string span_id;   // 16, not all zero
  bool sampled = false;
};

// Reads "00-<32 hex>-<16 hex>-<2 hex>". Versions from 01 to fe are read by their first four fields,
// as the standard asks. nullopt for anything else: capitals, all-zero ids, version ff, wrong
// length.
std::optional<TraceContext> ParseTraceparent(std::string_view header);

std::string FormatTraceparent(const TraceContext& context);  // version 00

// A new trace; the same trace with a span id of its own.
TraceContext NewTrace();
TraceContext ChildOf(const TraceContext& parent);

// The header to send on: a child of `incoming` where that is valid, else a new trace.
std::string ChildTraceparent(std::string_view incoming);

// 1 to 64 of [A-Za-z0-9._-].
bool ValidRequestId(std::string_view id);

// 16 lower-case hexadecimal digits at random.
std::string MakeRequestId();

}  // namespace emotion
