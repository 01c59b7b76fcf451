-- A hundred events a request, from 50 bodies made beforehand, so that making them is not what is measured.
local bodies = {}
local number = 0

function init(arguments)
  wrk.headers["Authorization"] = "Bearer " .. (arguments[1] or "none")
  wrk.headers["Content-Type"] = "application/json"
  for body = 1, 50 do
    local events = {}
    for event = 1, 100 do
      local person = (body * 100 + event) % 5000
      events[event] = '{"event":"order completed","email":"person' .. person .. '@example.com",' ..
        '"data":{"plan":"pro","amount":49.9,"number":' .. event .. ',"source":"web"}}'
    end
    bodies[body] = "[" .. table.concat(events, ",") .. "]"
  end
end

function request()
  number = number + 1
  return wrk.format("POST", "/v1/track/batch", nil, bodies[number % 50 + 1])
end
