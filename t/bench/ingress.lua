-- SPDX-License-Identifier: Apache-2.0
--
-- wrk's part: KIND FIRST NUMBER [PORT [PACE]] after "--". Requests to NUMBER
-- sandboxes in turn, the FIRST one and those that follow, far apart in the
-- list, in one of the routing modes; or changes of their records, which lead to
-- PORT. With PACE a connection rests as many milliseconds before each request.
-- Prints one line of numbers at the end.

local requests = {}
local at = 0
local endpoint

local json = { Host = "gateway.test", ["Content-Type"] = "application/json" }

local function record(id, ready)
   return '{' .. (id and '"id":"' .. id .. '",' or '')
      .. '"endpoint":"127.0.0.1","ready":' .. tostring(ready)
      .. ',"portMap":{"80":"127.0.0.1:' .. endpoint .. '"}}'
end

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
}

local function name(n)
   return string.format("sb-%06d", n)
end

function init(args)
   local kind, first, number = args[1], tonumber(args[2]), tonumber(args[3])
   endpoint = args[4]
   if args[5] then
      local pace = tonumber(args[5])
      delay = function() return pace end
   end
   if kind == "change" then
      -- each record twice, so that every change is one
      for n = 0, 2 * number - 1 do
         requests[n + 1] = wrk.format("PUT",
            "/v1/sandboxes/" .. name(first + n % number), json,
            record(nil, n < number))
      end
   elseif kind == "bulk" then
      -- a hundred records in one request
      for turn = 0, 1 do
         for n = first, first + number - 1, 100 do
            local records = {}
            for i = n, n + 99 do
               records[#records + 1] = record(name(i), turn == 0)
            end
            requests[#requests + 1] = wrk.format("POST", "/v1/sandboxes",
               json, '[' .. table.concat(records, ',') .. ']')
         end
      end
   else
      for n = first, first + number - 1 do
         requests[#requests + 1] = forms[kind](name(n))
      end
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
