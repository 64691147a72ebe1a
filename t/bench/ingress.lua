-- SPDX-License-Identifier: Apache-2.0
--
-- wrk's part: KIND NUMBER [API] after "--". Requests to NUMBER sandboxes in
-- turn, far apart in the list, in one of the routing modes; or changes of
-- their records. Prints one line of numbers at the end.

local requests = {}
local at = 0
local endpoint

local forms = {
   uri = function(id)
      return wrk.format("GET", "/sandboxes/" .. id .. "/port/80/index")
   end,
   header = function(id)
      return wrk.format("GET", "/index",
         { Host = "gateway.test", ["OpenSandbox-Ingress-To"] = id .. "-80" })
   end,
   host = function(id)
      return wrk.format("GET", "/index", { Host = id .. "-80.box.test" })
   end,
   change = function(id, n)
      return wrk.format("PUT", "/v1/sandboxes/" .. id,
         { Host = "gateway.test", ["Content-Type"] = "application/json" },
         '{"endpoint":"127.0.0.1","ready":' .. tostring(n % 2 == 0)
         .. ',"portMap":{"80":"127.0.0.1:' .. endpoint .. '"}}')
   end,
}

function init(args)
   local form = forms[args[1]]
   local number = tonumber(args[2])
   endpoint = args[3]
   for n = 1, number do
      requests[n] = form(string.format("sb-%06d", n), n)
   end
end

function request()
   at = (at + 7919) % #requests
   return requests[at + 1]
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format("RESULT %d %d %d %d %d", summary.requests,
      summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status
      + errors.timeout))
end
