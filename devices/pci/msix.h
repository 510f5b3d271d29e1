// SPDX-License-Identifier: MIT
//
// MSI-X inside a PCI function: what func.c has to tell it. Devices use the msix_ functions of
// pci.h.
#pragma once

#include "pci.h"

/* Message control may have changed: act on the enable and function-mask bits. */
void msix_control_written(struct pci_func *func);
