// SPDX-License-Identifier: MIT
//
// The KVM engine's door, and what its rooms share. linux/kvm.h stays inside this folder.
#pragma once

#include "accel.h"

extern const struct accel_ops kvm_accel;
