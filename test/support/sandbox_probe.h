// For tests: a child that tries what the sandbox forbids and tells what happened.
#pragma once

namespace msearch::media {

// Enters the sandbox and answers every frame with {"attempt": errno or 0, ...}.
int ServeSandboxProbe();

}  // namespace msearch::media
