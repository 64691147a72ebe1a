/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of headers that cppcheck does not read, as far as it has to know. */
#define json_object_foreach(object, key, value)                      \
	for (key = first_of(object); key && (value = value_of(key)); \
	     key = next_of(key))
#define json_array_foreach(array, index, value) \
	for (index = 0; (value = value_of(index)); index++)
