// SPDX-License-Identifier: Apache-2.0
export const message = 'Hello from a sandbox';
