/* SPDX-License-Identifier: Apache-2.0 */
#include "life/life.h"
