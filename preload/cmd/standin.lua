-- standin.lua - what captures of `standin run -w` say of each packet, as fields of Wireshark and tshark:
--
--     tshark -X lua_script:standin.lua -r FILE -Y 'standin.reason == "RTO"'
--     tshark -X lua_script:standin.lua -r FILE -q -z 'io,stat,1,MAX(standin.cwnd)standin.cwnd'
--
-- Every packet has a comment of words KEY=VALUE. Those named below become fields, the others stay where they are.

local standin = Proto("standin", "standin: the stack's state")

local number, text, seconds = ProtoField.uint32, ProtoField.string, ProtoField.double
local kinds = {
    { "ev",       text,    "Direction",              "tx, rx, or loop: to ourselves" },
    { "reason",   text,    "Reason",                 "why it was sent, or why it was not used" },
    { "state",    text,    "State",                  "of the connection, before this packet" },
    { "ca",       text,    "Loss recovery",          "Open, Disorder, CWR, Recovery or Loss" },
    { "cwnd",     number,  "Congestion window",      "bytes" },
    { "ssthresh", number,  "Slow start threshold",   "bytes" },
    { "inflight", number,  "In flight",              "bytes sent and not acknowledged" },
    { "wnd",      number,  "Window",                 "bytes, scaled" },
    { "srtt",     seconds, "Smoothed round trip",    "seconds" },
    { "rto",      seconds, "Retransmission timeout", "seconds" },
    { "sock",     number,  "Socket",                 "its number in the trace" },
    { "fd",       number,  "Descriptor",             "the program's" },
    { "call",     text,    "Call",                   "the program's call that sent it" },
    { "gso",      number,  "Segment size",           "bytes of the segments the link cuts it into" },
    { "rule",     number,  "Rule",                   "of the emulated wire that touched it" },
    { "lost",     number,  "Missing before",         "packets that did not get into the file" },
}

local field, list = {}, {}
for _, k in ipairs(kinds) do
    local f
    if k[2] == number then
        f = number("standin." .. k[1], k[3], base.DEC, nil, nil, k[4])
    elseif k[2] == seconds then
        f = seconds("standin." .. k[1], k[3], k[4])
    else
        f = text("standin." .. k[1], k[3], base.ASCII, k[4])
    end
    field[k[1]] = { f = f, is_text = k[2] == text }
    list[#list + 1] = f
end
standin.fields = list

local comments = Field.new("frame.comment")

function standin.dissector(_, _, tree)
    local sub
    for _, c in ipairs({ comments() }) do
        local line = tostring(c)
        if line:match("^ev=%a+") then
            for key, value in line:gmatch("(%w+)=(%S+)") do
                local k = field[key]
                local v = k and (k.is_text and value or tonumber(value))
                if v then
                    sub = sub or tree:add(standin)
                    sub:add(k.f, v)
                end
            end
        end
    end
end

register_postdissector(standin)
