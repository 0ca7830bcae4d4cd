package com.example.chat

import android.app.Activity
import android.app.Application
import android.os.Bundle
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.TextView
import app.peers.sdk.android.LocalNetworkAccess
import app.peers.sdk.android.Peers
import app.peers.sdk.android.Permissions
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

class ChatApp : Application() {
    var relay = "ws://192.168.1.20:8443"                                // the computer's address
    val peers by lazy { Peers(this) { relay(relay) } }                  // one for the process
    val chat by lazy { Chat(peers).apply { start() } }
}

class ChatActivity : Activity() {
    private val scope = CoroutineScope(Dispatchers.Default)

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        // guide:begin local-network
        if (Permissions.localNetwork(this) == LocalNetworkAccess.DENIED) requestPermissions(arrayOf(Permissions.LOCAL_NETWORK), 0)
        // guide:end
        val chat = (application as ChatApp).chat
        val to = EditText(this).apply { hint = "the other device" }
        val message = EditText(this).apply { hint = "message" }
        val send = Button(this).apply { text = "Send" }
        val accept = Button(this)
        val lines = TextView(this).apply { setTextIsSelectable(true) }
        setContentView(LinearLayout(this).apply {
            orientation = LinearLayout.VERTICAL
            fitsSystemWindows = true
            listOf(to, message, send, accept, lines).forEach { addView(it) }
        })
        send.setOnClickListener { chat.say("${to.text}", "${message.text}") }
        accept.setOnClickListener { chat.accept() }
        scope.launch { chat.lines.collect { runOnUiThread { lines.append("$it\n") } } }
        scope.launch {
            chat.asking.collect {
                runOnUiThread {
                    accept.isEnabled = it != null
                    accept.text = if (it == null) "No request" else "Accept ${it.device} ${it.sas ?: ""}"
                }
            }
        }
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }
}
